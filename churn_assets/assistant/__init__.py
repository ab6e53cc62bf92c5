"""The assistant's door: what a language model may ask about a scored batch and the model, over the Model Context Protocol. It writes nothing."""

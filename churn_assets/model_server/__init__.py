"""The model server: the champion of one dataset, answering over HTTP. The protocol is `churn_model.serving`'s; here is what a server adds."""

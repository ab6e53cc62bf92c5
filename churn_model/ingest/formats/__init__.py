"""The file formats that can be landed, one module each; `churn_model.ingest.files` registers them."""

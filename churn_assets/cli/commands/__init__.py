"""The commands of `churn`, one a file; `churn_assets.cli.app` lists them."""

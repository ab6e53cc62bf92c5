"""`python -m churn_assets.cli`."""

from churn_assets.cli.app import end_process, main

end_process(main())

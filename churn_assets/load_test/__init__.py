"""`churn load-test`: requests at a constant rate or in a closed loop, made by locust in processes of its own, and where the knee is."""

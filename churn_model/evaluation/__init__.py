"""What a model is worth on rows it never saw: metrics with intervals, two models against each other, weak segments, the gate's decision."""

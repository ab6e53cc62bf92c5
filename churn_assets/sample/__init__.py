"""A telecom's customers with a known truth: the sample that `churn sample` lands and that proofs measure against.

`population` holds who they are and how they land, `truth` why they leave and what a contact does, `generator` their months one after the
other, `files` the shape of a landing.

Randomness is keyed by (seed, block of customers, month): any block is made without the ones before, fewer rows are a prefix of more, and
memory does not grow with the rows.

What is true of it (60,000 rows, seed 1729; pinned in `tests/test_sample.py`): 13.8% leave. An oracle that knows P(left | the columns)
has an AUC of 0.813; one that knows the latent factor too, 0.840. A contact lowers the risk by 0.043 on average and raises it for 5.4%.

At $40 a contact and an assumed success of 0.3, the first oracle contacts 16%. Contact does save 0.30 of the worth at risk among them, and
each earns $39 above its cost; contacting everybody loses $17 on each. Of the riskiest 2% it saves only 0.12: they leave anyway.
"""

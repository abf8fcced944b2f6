"""`pannsdist probe`: the body of a network is computed once per clip, and scikit-learn trains a classifier on that."""

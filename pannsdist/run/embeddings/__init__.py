"""What a run computes once for each clip: the embeddings of a frozen body, or the features of every clip."""

"""`pannsdist doctor`: facts of this machine, or of all nodes of a job, and the findings that follow from them."""

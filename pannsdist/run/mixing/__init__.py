"""`pannsdist data mix`: seeded, strongly labelled soundscapes from isolated sounds and backgrounds."""

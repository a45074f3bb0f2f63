"""From a context to a revision: a lesson, its training, the self-test and the gate; and back again."""

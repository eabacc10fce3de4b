"""
Mistakes of the outbox that the changelog and commits tell of, each put back as a mutation, so that its test is seen to
fail. Mistakes that today's design rules out are not among them.

    a mistake, one edit that makes it again, the test that finds it     loop, tables, postgresql; all of them in table
    `make mutations` makes one edit at a time in a copy of the tree     __main__
    `make unit` sees that every edit and every test is there still      tests/unit/test_mutations.py

The text of an edit holds no comments, because they change more often than what they explain. A framework of mutation
testing changes operators and constants at random, and knows no mistake that was made.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """One edit that makes a mistake again."""

    mistake: str
    """As an operator has noticed it, or would have."""
    file: str
    """Below forwarder/outbox."""
    old: str
    """Occurs in the file exactly once."""
    new: str
    found_by: str
    """A node of pytest, below tests."""

    def made_in(self, text: str) -> str:
        """The file's text with the mistake; raises ValueError where the text has moved on."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} does not hold this once: {self.old}")
        return text.replace(self.old, self.new)

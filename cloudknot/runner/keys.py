"""Where the objects of a run lie in its store."""

from __future__ import annotations


class Keys:
    """The keys of one run's objects in a store."""

    def __init__(self, run_id: str) -> None:
        self.prefix = f"runs/{run_id}/"
        self.run = self.prefix + "run.json"
        self.function = self.prefix + "function"
        self.indices = self.prefix + "indices"
        self.inputs = self.prefix + "inputs/"
        self.packs = self.prefix + "packs/"
        self.owners = self.prefix + "owners/"
        self.cancels = self.prefix + "cancels/"
        self.values = self.prefix + "values/"
        self.waves = self.prefix + "waves/"
        self.news = self.prefix + "news/"
        self.deferrals = self.prefix + "deferrals/"
        self.cost = self.prefix + "cost"

    def shard(self, number: int) -> str:
        """Return the key of an argument shard."""
        return f"{self.inputs}{number:08d}"

    def pack(self, position: int) -> str:
        """Return the key of the pack that starts at a position."""
        return f"{self.packs}{position:012d}"

    def owner(self, generation: int) -> str:
        """Return the key that says who ran the run for the n-th time."""
        return f"{self.owners}{generation:06d}"

    def stopped(self, generation: int) -> str:
        """Return the key that says why the run's rule stopped it, the n-th time that it was run."""
        return f"{self.prefix}stopped/{generation:06d}"

    def settled(self, generation: int) -> str:
        """Return the key that says how the run ended, the n-th time that it was run."""
        return f"{self.prefix}settled/{generation:06d}"

    def released(self, generation: int) -> str:
        """Return the key that says that the process gave the run back, the n-th time that it was run."""
        return f"{self.prefix}released/{generation:06d}"

    def cancel_run(self, generation: int) -> str:
        """Return the key that asks to cancel the run, the n-th time that it is run."""
        return f"{self.cancels}run-{generation:06d}"

    def cancel_item(self, position: int) -> str:
        """Return the key that asks to cancel one item for good."""
        return f"{self.cancels}item-{position:012d}"

    def value(self, position: int, token: str) -> str:
        """Return the key of a value that is too large for a pack."""
        return f"{self.values}{position:012d}-{token}"

    def wave(self, number: int) -> str:
        """Return the key of a wave of chunks for AWS Batch."""
        return f"{self.waves}{number:06d}"

    def submitted(self, number: int) -> str:
        """Return the key that names the jobs of a wave, once all of them are submitted."""
        return f"{self.prefix}submitted/{number:06d}"

    def announcement(self, time_ms: int, position: int) -> str:
        """Return the key that says that a pack was committed: such keys are in order of time."""
        return f"{self.news}{time_ms:013d}-{position:012d}"

    def deferral(self, position: int, memory_mib: int) -> str:
        """Return the key that says that so much memory was too little for an item."""
        return f"{self.deferrals}{position:012d}-{memory_mib:09d}"

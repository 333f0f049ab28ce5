"""Which arms, which seeds, what for; runs the jobs of a study and goes on where it was."""

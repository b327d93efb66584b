"""Help for when something is wrong: is the machine ready, an archive for asking others, and taking secrets out."""

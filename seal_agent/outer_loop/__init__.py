"""Learning to write better self-edits: propose, train, evaluate, select, finetune."""

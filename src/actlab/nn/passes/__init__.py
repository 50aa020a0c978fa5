"""Forward passes of a model, with snapshots of its state, input copies, unit axes and data flow."""

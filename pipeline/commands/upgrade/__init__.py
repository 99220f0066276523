"""`pipeline upgrade`: what another release of the code means for this project, and a record that fits it."""

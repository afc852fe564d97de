"""A generation: erasers bound, frames made, looked at, written as a video, and described by a receipt."""

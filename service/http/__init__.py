"""What HTTP is made of: requests read strictly, errors and videos written, events streamed. It decides nothing about jobs."""

"""The review console: people sign in, and rule on cases. HTML from the server, at /console."""

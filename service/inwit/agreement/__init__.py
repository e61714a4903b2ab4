"""How far people agree: with one another, with the judges, with golden cases, with themselves."""

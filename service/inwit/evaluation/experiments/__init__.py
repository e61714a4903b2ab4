"""What is measured: each experiment draws samples, has judges asked, and says what was found."""

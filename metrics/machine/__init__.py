"""What this machine has: processors, memory, compiled code; and where a number was made."""

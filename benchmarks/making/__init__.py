"""How shipped generators and evidence about training are made."""

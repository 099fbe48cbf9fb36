"""What makes a finding believable: where the model looked, and what the suspects share."""

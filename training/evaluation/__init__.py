"""How good a net is: measures, scores, pictures."""

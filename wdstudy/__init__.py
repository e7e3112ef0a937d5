"""How do learning rate and weight decay work together, for your model?"""

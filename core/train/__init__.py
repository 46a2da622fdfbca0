"""Making the sub-models: one base, one data set, K orders."""

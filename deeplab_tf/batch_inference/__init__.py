"""Batch inference: any number of pictures, by shards, in processes or by Beam."""

"""Losses: of pixels, of regions, and their total; class weights."""

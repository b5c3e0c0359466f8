"""Pages: what HTML reports share: frame, style, charts, texts made harmless."""

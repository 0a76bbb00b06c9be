"""Decoding with torch: the processor, the loop, vLLM, the documents."""

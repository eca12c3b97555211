"""Emotion diarization: which emotion is heard when, in a recording of any length."""

# SPDX-License-Identifier: MIT
"""Sotto: speech to text with Whisper models."""

"""What every HTTP server of the package needs: headers, bounded bodies, tokens, origins, and the process.

No address of anybody is looked at or stored.
"""

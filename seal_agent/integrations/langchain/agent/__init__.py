"""What an agent learns with: tools and middleware."""

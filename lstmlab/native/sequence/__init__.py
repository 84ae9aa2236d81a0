"""x. import"""

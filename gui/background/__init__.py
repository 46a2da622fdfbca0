"""Child processes that go on without the window: started, followed, stopped, found again."""

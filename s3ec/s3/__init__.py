"""What is asked of S3 and what becomes of its answers: every rule about requests, and not one request.

An operation is a flow: a generator that yields effects (`s3ec.s3.flow`) and is sent their answers. Two drivers carry
effects out, one that waits and one for an event loop; neither decides anything. Nothing here imports boto, starts a
thread, waits or touches a disk.
"""

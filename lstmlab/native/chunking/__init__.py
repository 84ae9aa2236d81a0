"""Networks that learn only what others did not expect: one trial at a time, output by output.

parts    networks as a kernel takes them: arrays of weights, and of the last steps
steps    what one network does in a step
pair     the steps of SequenceChunker
levels   the steps of ChunkerLevels
engine   the door to the kernels

`pair` and `levels` have functions of the same names, of which a kernel is made: `begin` and `end`
for a sequence, and `step`. Numbers in comments are those of the equations of the learner.
"""

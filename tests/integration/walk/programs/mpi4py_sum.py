from mpi4py import MPI

world = MPI.COMM_WORLD
total = world.allreduce(world.Get_rank() + 1, op=MPI.SUM)
if world.Get_rank() == 0:
    print(f"sum over {world.Get_size()} ranks is {total}", flush=True)

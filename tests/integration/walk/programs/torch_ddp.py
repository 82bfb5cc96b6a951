"""Data-parallel training as PyTorch's own tutorials write it: env:// rendezvous, gloo, DistributedDataParallel."""
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo", init_method="env://")
rank, world_size = dist.get_rank(), dist.get_world_size()
torch.manual_seed(rank)
model = DistributedDataParallel(torch.nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
losses = []
for step in range(20):
    inputs = torch.randn(16, 8)
    loss = ((model(inputs) - inputs.sum(dim=1, keepdim=True)) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
mine = torch.cat([p.detach().flatten() for p in model.parameters()])
everyone = [torch.empty_like(mine) for _ in range(world_size)]
dist.all_gather(everyone, mine)
assert all(torch.equal(mine, other) for other in everyone), "the ranks' parameters differ"
assert losses[-1] < losses[0], losses
if rank == 0:
    print(f"all {world_size} ranks hold equal parameters; loss {losses[0]:.3f} -> {losses[-1]:.3f}", flush=True)
dist.destroy_process_group()

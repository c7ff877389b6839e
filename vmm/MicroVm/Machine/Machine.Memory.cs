using MicroVm.Virtio.Balloon;
using MicroVm.Virtio.Mem;

namespace MicroVm;

/// <summary>Memory that changes while the guest runs.</summary>
public sealed partial class Machine
{
    // A guest that is alive answers within a millisecond or a few.
    private const int BalloonPatience = 1000;

    /// <summary>The balloon as it is now, with the guest's own figures, for which the guest is asked; null if the machine has none.</summary>
    public BalloonInfo? Balloon => _parts.Find<VirtioBalloonDevice>() is { } balloon ? BalloonInfo.Of(balloon, BalloonPatience) : null;

    /// <summary>How much memory the guest has now; from any thread.</summary>
    public MemoryInfo Memory
    {
        get
        {
            VirtioMemDevice? mem = _parts.Find<VirtioMemDevice>();
            ulong plugged = mem?.Plugged ?? 0;
            // Guest memory holds whole chunks; of those only the blocks that are plugged count.
            ulong chunks = mem?.Blocks.PresentBytes ?? 0;
            return new MemoryInfo(_parts.Memory.Size, _parts.Memory.Present - Math.Min(chunks, _parts.Memory.Present) + plugged, mem?.Blocks.RegionBytes ?? 0, mem?.Requested ?? 0, plugged, _parts.Dimms?.MostBytes ?? 0, _parts.Dimms?.PresentBytes ?? 0);
        }
    }

    /// <summary>Asks the guest to have so much of its virtio-mem device. It does so in its own time: see <see cref="Memory"/>.</summary>
    /// <param name="bytes">Whole blocks, at most the device's size.</param>
    /// <exception cref="MicroVmException">There is no such device, or it has not that much.</exception>
    public void ResizeVirtioMem(ulong bytes)
    {
        VirtioMemDevice mem = _parts.Find<VirtioMemDevice>() ?? throw MicroVmException.Usage("the machine has no memory device", "resize --virtio-mem", "Start it with --virtio-mem size=SIZE");
        mem.Request(bytes);
    }

    /// <summary>Asks the guest to give up so much memory in all, or to take some back. It does so in its own time: see <see cref="Balloon"/>.</summary>
    /// <param name="bytes">At most the guest's memory.</param>
    /// <exception cref="MicroVmException">There is no balloon, or the guest has not that much.</exception>
    public void ResizeBalloon(ulong bytes)
    {
        VirtioBalloonDevice balloon = _parts.Find<VirtioBalloonDevice>() ?? throw MicroVmException.Usage("the machine has no balloon", "resize --balloon", "Start it with --balloon");
        if (bytes > _parts.Memory.Present) throw MicroVmException.Usage("the guest has not that much memory", $"{bytes >> 20} MiB of {_parts.Memory.Present >> 20}", "Ask for less");
        balloon.Target = bytes;
    }
}

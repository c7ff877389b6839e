using MicroVm.Devices;
using MicroVm.Hotplug;
using MicroVm.Memory;
using MicroVm.Virtio;
using MicroVm.Virtio.Balloon;
using MicroVm.Virtio.Mem;

namespace MicroVm;

/// <summary>What a machine may get as memory beyond what it starts with, and what of it cannot be together.</summary>
internal static class MemoryRoom
{
    /// <summary>Bytes of guest addresses for what is plugged in, in the order in which it takes its places.</summary>
    /// <exception cref="MicroVmException">More than the machine's map has.</exception>
    internal static ulong Of(MachineOptions options, ReadOnlySpan<IPlacedDevice> devices, bool shared)
    {
        if (shared && devices.Length > 0) throw MicroVmException.Usage("a backend in another process cannot reach memory that comes in blocks or from a file", "vhost-user with --virtio-mem or --pmem", "Leave one of them away");
        ulong room = 0, most = MachineMap.HighMemory.Length - GuestMemory.PlugAlignment;
        foreach (IPlacedDevice device in devices)
        {
            (ulong bytes, ulong alignment) = device.Needs;
            if (bytes > most) throw TooMuch(options, bytes);
            room = AlignUp(room, alignment) + bytes;
        }
        if (OfDimms(options) is > 0 and var dimms) room = AlignUp(room, GuestMemory.PlugAlignment) + dimms;
        ulong above = options.MemoryBytes - Math.Min(options.MemoryBytes, MachineMap.LowMemory.Length);
        return room == 0 || room + above <= most ? room : throw TooMuch(options, room);
    }

    /// <summary>Bytes of guest addresses for DIMMs that may come.</summary>
    internal static ulong OfDimms(MachineOptions options) => options.PossibleMemoryBytes is { } most ? MemoryUnits.RoomFor(most - options.MemoryBytes) : 0;

    private static ulong AlignUp(ulong value, ulong alignment) => (value + alignment - 1) & ~(alignment - 1);

    /// <summary>Refuses what no machine can have.</summary>
    /// <exception cref="MicroVmException">A balloon or memory device that is impossible, or not beside an assigned device.</exception>
    internal static void Check(MachineOptions options)
    {
        foreach (VirtioOptions device in options.Virtio)
        {
            if (device is BalloonOptions balloon && balloon.TargetBytes > options.MemoryBytes)
                throw MicroVmException.Usage("the balloon is larger than the guest", $"target={balloon.TargetBytes >> 20}M with --memory {options.MemoryBytes >> 20}M", "Give a smaller target");
            // Pinned pages stay with the host's IOMMU whatever the guest gives back.
            if (options.Devices.Count > 0 && device is (BalloonOptions or MemOptions))
                throw MicroVmException.Usage($"{(device is BalloonOptions ? "a balloon" : "virtio-mem")} cannot give memory back that an assigned device holds", $"--device {options.Devices[0]}", "Leave one of them away");
        }
    }

    /// <summary>The same for a device that is assigned while the guest runs.</summary>
    internal static void CheckAssigned(MachineParts parts, string address)
    {
        string? other = parts.Find<VirtioBalloonDevice>() is not null ? "a balloon" : parts.Find<VirtioMemDevice>() is not null ? "virtio-mem" : null;
        if (other is not null) throw MicroVmException.Usage($"{other} cannot give memory back that an assigned device holds", $"--device {address}", "Start the machine without one of them");
    }

    private static MicroVmException TooMuch(MachineOptions options, ulong room) =>
        MicroVmException.Usage("that is more memory than the machine's map has", $"{options.MemoryBytes >> 20} MiB and {room >> 20} MiB to plug in", $"Give at most {MachineMap.HighMemory.Length >> 30} GiB in all");
}

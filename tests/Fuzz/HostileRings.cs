using MicroVm.Devices;
using MicroVm.Memory;
using MicroVm.Tests.Virtio;

namespace MicroVm.Fuzz;

/// <summary>What a hostile driver does to its rings, and what its second thread does to them meanwhile.</summary>
internal static class HostileRings
{
    /// <summary>Where requests lie: the first bytes are the header.</summary>
    internal const ulong Requests = 0x80_0000, RequestBytes = 0x1_0000;

    private static readonly ulong[] s_addresses =
    [
        0, 0xfff, Requests, GuestDriver.Ram - 1, GuestDriver.Ram, 0x10_0000, 0x18_0000, 0x1a_0000, 0xc000_0000,
        0x1_0000_0000, ulong.MaxValue, ulong.MaxValue - 4095,
    ];

    private static readonly uint[] s_lengths = [0, 1, 12, 16, 26, 44, 60, 64, 512, 1024, 4096, 65536];

    /// <summary>One request in a queue of the driver's, which may be wrong in any way; perhaps a write to a
    /// register.</summary>
    internal static void Step(Random random, GuestDriver guest, Action<Random, HostRange> header)
    {
        GuestQueue queue = guest.Queues[random.Next(guest.Queues.Count)];
        random.NextBytes(queue.Bytes(Requests, 256));
        header(random, queue.Ram.Slice(Requests, RequestBytes));
        int count = random.Next(1, Math.Min(9, queue.Size + 1));
        for (int i = 0; i < count; i++)
            Describe(random, queue, random.Next(10) == 0 ? random.Next(queue.Size) : i, i + 1 < count);
        queue.Offer(random.Next(12) == 0 ? (ushort)random.Next() : (ushort)0);
        if (random.Next(30) == 0) queue.Next += (ushort)random.Next();
        queue.Publish();
        if (random.Next(20) == 0) queue.Ram.StoreIndex(queue.Available, (ushort)random.Next(4));
        queue.Kick();
        if (random.Next(12) == 0)
        {
            uint register = (uint)random.Next(0x140);
            _ = guest.WriteAt(register, 1 << random.Next(4), (ulong)random.NextInt64() >> random.Next(64));
        }
        if (random.Next(4) == 0) Thread.SpinWait(random.Next(4000));
    }

    internal static void BlockHeader(Random random, HostRange request) => request.Store(0, new VirtioBlockHeader
    {
        Type = (uint)random.Next(16),
        Sector = random.Next(6) == 0 ? (ulong)random.NextInt64() : (ulong)random.Next(2100),
    });

    internal static void VsockHeader(Random random, HostRange request) => request.Store(0, new VirtioVsockHeader
    {
        SourceCid = random.Next(16) == 0 ? (ulong)random.NextInt64() : 7,
        DestinationCid = random.Next(16) == 0 ? (ulong)random.NextInt64() : 2,
        SourcePort = (uint)random.Next(3), DestinationPort = (uint)random.Next(3),
        Length = random.Next(4) == 0 ? (uint)random.Next() : (uint)random.Next(2048),
        Type = (ushort)(random.Next(16) == 0 ? random.Next() : 1), Operation = (ushort)random.Next(10),
        Flags = (uint)random.Next(4), BufferSize = (uint)random.Next(), Forwarded = (uint)random.Next(),
    });

    /// <summary>One thing that the second thread does while the device reads: another value for a moment, mostly one
    /// that could stand there too, so that the device goes on.</summary>
    internal static void Flip(Random random, GuestQueue queue)
    {
        ulong descriptor = queue.Descriptors + (ulong)random.Next(Math.Min(4, (int)queue.Size)) * 16;
        ulong entry = queue.Available + 4 + (ulong)random.Next(queue.Size) * 2, index = queue.Available + 2;
        byte octet = (byte)random.Next(random.Next(4) == 0 ? 256 : 8);
        switch (random.Next(64))
        {
            case < 26: Flicker(random, queue, Requests + (ulong)random.Next(64), octet); break;
            case < 40: Flicker(random, queue, descriptor, Requests + (ulong)random.Next((int)RequestBytes)); break;
            case < 56: Flicker(random, queue, descriptor + 8, s_lengths[random.Next(s_lengths.Length)]); break;
            // What ends the queue is rare: it is to be used, too.
            case 56: Flicker(random, queue, descriptor, s_addresses[random.Next(s_addresses.Length)]); break;
            case 57: Flicker(random, queue, descriptor + 8, (uint)random.Next()); break;
            case 58: Flicker(random, queue, descriptor + 12, (ushort)random.Next(8)); break;
            case 59: Flicker(random, queue, descriptor + 14, (ushort)random.Next(4)); break;
            case 60: Flicker(random, queue, descriptor + 14, (ushort)random.Next(65536)); break;
            case 61: Flicker(random, queue, entry, (ushort)random.Next(4)); break;
            case 62: Flicker(random, queue, index, (ushort)(queue.UsedIndex + random.Next(3))); break;
            default: Flicker(random, queue, index, (ushort)random.Next(65536)); break;
        }
    }

    // What the first thread wrote meanwhile is left.
    private static void Flicker<T>(Random random, GuestQueue queue, ulong at, T value)
        where T : unmanaged, IEquatable<T>
    {
        T old = queue.Ram.Load<T>(at);
        queue.Ram.Store(at, value);
        if (random.Next(4) == 0) Thread.SpinWait(random.Next(50));
        if (queue.Ram.Load<T>(at).Equals(value)) queue.Ram.Store(at, old);
    }

    // Mostly a chain that could be: the first part is the request, the others are buffers near it.
    private static void Describe(Random random, GuestQueue queue, int index, bool more)
    {
        ulong address = random.Next(12) == 0 ? s_addresses[random.Next(s_addresses.Length)]
            : index == 0 ? Requests : Requests + (ulong)random.Next((int)RequestBytes);
        uint length = random.Next(12) == 0 ? (uint)random.NextInt64(1L << 32) >> random.Next(32)
            : index == 0 ? (uint)random.Next(1, 64) : (uint)random.Next(0, 5) * 512;
        VirtqDescFlags flags = more ? VirtqDescFlags.Next : 0;
        if (index != 0 && random.Next(2) == 0) flags |= VirtqDescFlags.Write;
        if (random.Next(25) == 0) flags = (VirtqDescFlags)random.Next(16);
        ushort next = random.Next(25) == 0 ? (ushort)random.Next() : (ushort)(index + 1);
        queue.Describe(index, address, length, flags, next);
    }
}

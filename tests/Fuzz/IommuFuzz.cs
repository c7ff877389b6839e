using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Tests.Virtio;
using MicroVm.Virtio.Iommu;

namespace MicroVm.Fuzz;

/// <summary>virtio-iommu under requests of any kind, beside a model of it: it agrees to what the model agrees to, and
/// what the endpoints reach afterwards is what the model says, in guest memory and nowhere else.</summary>
public sealed class IommuFuzz
{
    private const ulong RequestAt = 0x80_0000, AnswerAt = RequestAt + 0x100, FaultsAt = RequestAt + 0x1000;
    private const uint ProbeRoom = 512;

    private static readonly uint[] s_endpoints = [0x08, 0x10, 0x108];
    private static readonly ulong[] s_places =
    [
        0, 0x1000_0000, VirtioIommuConst.MsiFirst - 0x4000, VirtioIommuConst.MsiLast - 0xfff,
        VirtioIommuConst.LastAddress - 0x7fff, ulong.MaxValue - 0xfff,
    ];
    private static readonly ulong[] s_nowhere = [0xc000_0000, 0x1_0000_0000, 0xfee0_0000, ~0xffful, 0x123];

    [Fact]
    public void Requests()
    {
        Reach reach = new("attach", "detach", "map", "unmap", "probe", "refused", "broken", "reached", "faults");
        FuzzRun.Run("virtio-iommu", random => Live(random, reach), reach: reach);
    }

    private static void Live(Random random, Reach reach)
    {
        using GuestMemory memory = GuestMemory.Allocate(GuestDriver.Ram, 0xc000_0000, 0x1_0000_0000);
        GuestIommu iommu = new(new PciAddress(0, 3, 0), memory);
        VirtioEndpoint[] endpoints = Array.ConvertAll(s_endpoints, Add);
        IommuModel model = new(GuestDriver.Ram, s_endpoints);
        using GuestDriver guest = new(iommu.Device, memory);
        for (int life = 0; life < 2; life++)
        {
            Start(guest, model);
            for (int step = 0; step < 200 && !guest.NeedsReset; step++)
            {
                ulong bypass = (ulong)random.Next(100);
                if (bypass < 4)
                {
                    _ = guest.WriteAt(GuestDriver.Offset("Config") + 0x24, 1, bypass);
                    model.SetBypass(bypass);
                }
                else Request(random, guest, model, reach);
                foreach (VirtioEndpoint endpoint in endpoints) Look(random, endpoint, memory, model, reach);
                TakeFaults(guest, reach);
            }
            if (guest.NeedsReset) reach.Add("broken");
        }
        // A reset leaves nobody attached, and nothing mapped.
        Start(guest, model);
        Assert.Equal(0, model.Count);
        foreach (VirtioEndpoint endpoint in endpoints) Look(random, endpoint, memory, model, reach);

        VirtioEndpoint Add(uint id)
        {
            PciAddress address = new((byte)(id >> 8), (byte)(id >> 3 & 31), (byte)(id & 7));
            VirtioEndpoint made = iommu.MakeEndpoint(address, "fuzz", memory);
            Assert.Equal(id, made.Id);
            return made;
        }
    }

    private static void Start(GuestDriver guest, IommuModel model)
    {
        _ = guest.Start(64);
        model.Reset();
        for (int i = 0; i < 8; i++)
        {
            guest.Queues[VirtioIommu.EventQueue].Describe(i, FaultsAt + (ulong)i * 32, 24, VirtqDescFlags.Write);
            guest.Queues[VirtioIommu.EventQueue].Submit((ushort)i);
        }
    }

    private static void Request(Random random, GuestDriver guest, IommuModel model, Reach reach)
    {
        (string name, byte[] bytes, Func<bool> agrees) = Make(random, model);
        int length = random.Next(16) == 0 ? random.Next(bytes.Length) : bytes.Length, cut = random.Next(length + 1);
        uint room = name == "probe" ? ProbeRoom + 4 : 4;
        if (random.Next(8) == 0) room = (uint)random.Next(4, 600);
        if (random.Next(200) == 0) room = (uint)random.Next(4);
        GuestQueue queue = guest.Queues[VirtioIommu.RequestQueue];
        bytes.AsSpan(0, length).CopyTo(queue.Bytes(RequestAt, 80));
        queue.Bytes(AnswerAt, 600).Fill(0xee);
        (uint first, uint rest) = ((uint)cut, (uint)(length - cut));
        queue.DescribeChain(
            0, null, new(RequestAt, first, false), new(RequestAt + first, rest, false), new(AnswerAt, room, true));
        VirtqUsedElem? used = queue.Transact(0);
        if (room < 4)
        {
            Assert.Null(used);
            return;
        }
        Assert.InRange(used!.Value.Len, 4u, room);
        VirtioIommuStatus status = (VirtioIommuStatus)queue.Bytes(AnswerAt + used.Value.Len - 4, 1)[0];
        // What is cut short is not a request.
        bool ok = length == bytes.Length && agrees();
        Assert.True(ok == (status == 0), $"{name} {Convert.ToHexString(bytes, 0, length)}: {status}");
        reach.Add(ok ? name : "refused");
    }

    // All of them are made, so that the numbers of a seed are the same whatever it comes to.
    private static (string Name, byte[] Bytes, Func<bool> Agrees) Make(Random random, IommuModel model)
    {
        uint domain = (uint)random.Next(1, 4), endpoint = s_endpoints[random.Next(3)];
        if (random.Next(12) == 0) domain = (uint)random.Next();
        if (random.Next(12) == 0) endpoint = (uint)random.Next();
        (ulong first, ulong last) = Range(random);
        byte junk = (byte)(random.Next(20) == 0 ? 1 : 0);
        uint bypass = (uint)(random.Next(6) == 0 ? random.Next(1, 4) : 0);
        uint access = (uint)(random.Next(12) == 0 ? random.Next() : random.Next(4));
        byte nonsense = (byte)(random.Next(2) == 0 ? 0 : random.Next(6, 256));
        VirtioIommuAttach attach = new() { Type = 1, Domain = domain, Endpoint = endpoint, Reserved = junk };
        attach.Flags = bypass;
        VirtioIommuDetach detach = new() { Type = 2, Domain = domain, Endpoint = endpoint, Reserved = junk };
        VirtioIommuMap map = new() { Type = 3, Domain = domain, First = first, Last = last, Flags = access };
        map.Physical = Physical(random);
        VirtioIommuUnmap unmap = new() { Type = 4, Domain = domain, First = first, Last = last, Reserved = junk };
        if (random.Next(6) == 0) unmap.First = 0;
        if (random.Next(6) == 0) unmap.Last = ulong.MaxValue;
        VirtioIommuProbe probe = new() { Type = 5, Endpoint = endpoint };
        return random.Next(20) switch
        {
            < 4 => ("attach", Bytes(attach), () => model.Attach(attach)),
            < 5 => ("detach", Bytes(detach), () => model.Detach(detach)),
            < 13 => ("map", Bytes(map), () => model.Map(map)),
            < 18 => ("unmap", Bytes(unmap), () => model.Unmap(unmap)),
            18 => ("probe", Bytes(probe), () => s_endpoints.Contains(endpoint)),
            _ => ("nonsense", Bytes(map with { Type = nonsense }), static () => false),
        };
    }

    private static unsafe void Look(
        Random random, VirtioEndpoint endpoint, GuestMemory memory, IommuModel model, Reach reach)
    {
        ulong address = Range(random).First + (ulong)random.Next(0x2000), length = (ulong)random.Next(1, 0x4000);
        bool write = random.Next(2) == 0;
        bool reached = endpoint.TryTranslate(address, length, write, out HostRange piece);
        (ulong Physical, ulong Length)? wanted = model.Translate(endpoint.Id, address, length, write);
        Assert.Equal(wanted is not null, reached);
        if (wanted is not { } place) return;
        Assert.True(memory.TryRange(place.Physical, place.Length, out HostRange there), "it is not in guest memory");
        Assert.Equal(((nuint)there.Address, there.Length), ((nuint)piece.Address, piece.Length));
        reach.Add("reached");
    }

    private static void TakeFaults(GuestDriver guest, Reach reach)
    {
        GuestQueue queue = guest.Queues[VirtioIommu.EventQueue];
        while (queue.TryTakeUsed(out VirtqUsedElem used))
        {
            VirtioIommuFault fault = queue.Ram.Load<VirtioIommuFault>(FaultsAt + used.Id * 32);
            Assert.Equal((24u, true, true), (used.Len, s_endpoints.Contains(fault.Endpoint), fault.Reason is 1 or 2));
            queue.Submit((ushort)used.Id);
            queue.Kick();
            reach.Add("faults");
        }
    }

    private static (ulong First, ulong Last) Range(Random random)
    {
        ulong first = s_places[random.Next(s_places.Length)] + (ulong)random.Next(8) * 0x1000;
        ulong pages = (ulong)random.Next(1, 5);
        if (random.Next(20) == 0) first += (ulong)random.Next(0x1000);
        if (random.Next(20) == 0) pages = (ulong)random.NextInt64();
        return (first, first + pages * 0x1000 - (random.Next(20) == 0 ? 0ul : 1));
    }

    private static ulong Physical(Random random) => random.Next(8) switch
    {
        0 => GuestDriver.Ram - (ulong)random.Next(5) * 0x1000,
        1 => s_nowhere[random.Next(s_nowhere.Length)],
        _ => 0x200_0000 + (ulong)random.Next(64) * 0x1000,
    };

    private static byte[] Bytes<T>(T request) where T : unmanaged =>
        MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in request)).ToArray();
}

using MicroVm.Tests.Vfio;

namespace MicroVm.Fuzz;

/// <summary>A function whose configuration space has any bytes: capabilities in a list that may end too early or be
/// tied into a ring, and in them and between them anything.</summary>
internal static class VfioHardware
{
    private const int FirstPlace = 0x40, PlaceBytes = 0x10, Places = 12, Extended = 0x100, LastExtended = 0xff8;

    /// <summary>Ids of capabilities that a guest may find.</summary>
    internal static readonly byte[] Shown = [0x01, 0x05, 0x09, 0x10, 0x11];

    // And some that it may not: VPD, slot numbering, hot swap, PCI-X, HyperTransport, subsystem, AF, EA.
    private static readonly byte[] s_ids = [.. Shown, .. Shown, 0x03, 0x04, 0x06, 0x07, 0x08, 0x0d, 0x13, 0x14];

    internal static FakeVfioDevice Make(Random random)
    {
        FakeVfioDevice device = new();
        random.NextBytes(device.Config);
        device.Config[0x06] = (byte)(random.Next(20) == 0 ? 0 : 0x10);
        device.Config[0x0e] = (byte)(random.Next(10) == 0 ? random.Next() : random.Next(2) * 0x80);
        AddCapabilities(random, device);
        AddExtended(random, device);
        for (int bar = 0; bar < 6; bar++)
        {
            if (random.Next(3) == 0) _ = device.AddBar(bar, random.Next(1, 5) * 0x800);
        }
        return device;
    }

    private static void AddCapabilities(Random random, FakeVfioDevice device)
    {
        List<int> places = [.. Enumerable.Range(0, Places).Select(static i => FirstPlace + i * PlaceBytes)];
        int pointer = 0x34;
        for (int count = random.Next(3, 14); count > 0; count--)
        {
            int at = places[random.Next(places.Count)];
            byte id = s_ids[random.Next(s_ids.Length)];
            // No hardware has one in the middle of another; that of PCI Express is the longest.
            int length = id == 0x10 ? 4 * PlaceBytes : PlaceBytes;
            if (places.Count(IsOfIt) != length / PlaceBytes || places.Count == length / PlaceBytes) continue;
            _ = places.RemoveAll(IsOfIt);
            int tied = pointer == 0x34 ? random.Next(0x40) : pointer - 1;
            device.Config[pointer] = (byte)(random.Next(30) == 0 ? tied : at);
            device.Config[at] = id;
            // What is emulated has sizes: of 64-bit addresses, of a vendor's own, of a small table.
            if (id == 0x05) device.Config[at + 2] |= 0x80;
            if (id == 0x09) device.Config[at + 2] = (byte)random.Next(PlaceBytes + 1);
            if (id == 0x11) device.Config[at + 3] &= 0xf8;
            pointer = at + 1;

            bool IsOfIt(int place) => place >= at && place < at + length;
        }
        device.Config[pointer] = (byte)(random.Next(10) == 0 ? device.Config[0x34] : random.Next(4));
    }

    private static void AddExtended(Random random, FakeVfioDevice device)
    {
        for (int at = Extended, count = 6; count > 0; count--)
        {
            int next = Math.Min(at + random.Next(2, 40) * 4, LastExtended);
            device.Set(at, (byte)random.Next(0x30), 0, (byte)(1 | next << 4), (byte)(next >> 4));
            // The length of a vendor's own stands in its second word.
            if (device.Config[at] == 0x0b) device.Set(at + 4, 0, 0, (byte)(random.Next(16) << 4), (byte)random.Next(2));
            at = next;
        }
    }
}

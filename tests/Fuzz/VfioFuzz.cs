using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Interrupts;
using MicroVm.Memory;
using MicroVm.Pci;
using MicroVm.Tests.Pci;
using MicroVm.Tests.Vfio;
using MicroVm.Vfio;

namespace MicroVm.Fuzz;

/// <summary>Row F3: the configuration space of any hardware, under writes of any width to any offset. Only the bits
/// that <c>devices.def/vfio_config.def</c> names reach the hardware, and the guest finds nothing of what it
/// hides.</summary>
public sealed class VfioFuzz
{
    private const int Space = 4096, Writes = 200, ExpressBytes = 0x3c;
    private const uint CommandPassed = PciHeader0.Bits.CommandBusMaster | PciHeader0.Bits.CommandInterruptDisable;

    [Fact]
    public void F3_configuration_space()
    {
        Reach reach = new("power state", "device control", "reset", "message", "line", "bridge");
        FuzzRun.Run("vfio configuration", random => Live(random, reach), reach: reach);
    }

    private static void Live(Random random, Reach reach)
    {
        FakeVfioDevice device = VfioHardware.Make(random);
        byte[] original = [.. device.Config];
        using InterruptLine pin = new(0);
        ResidentPage page = new(Space);
        PciAddress address = new((byte)random.Next(2), 1, 0);
        InterruptRouter router = new(new FakeKvm(), 1);
        if ((original[0x0e] & 0x7f) != 0)
        {
            Assert.Throws<MicroVmException>(Make);
            reach.Add("bridge");
            return;
        }
        using VfioFunction function = Make();
        Hidden(function, page);
        byte[] allowed = Allowed(function, original);
        for (int i = 0; i < Writes; i++)
        {
            device.Log.Clear();
            (uint offset, int width, ulong value) = Write(random, function);
            if (Resets(function, offset, width, value))
            {
                Assert.Contains("reset", device.Log);
                reach.Add("reset");
            }
            for (int b = 0; b < Space; b++)
            {
                int changed = device.Config[b] ^ original[b];
                if ((changed & ~allowed[b]) != 0)
                    Assert.Fail($"{width} bytes 0x{value:x} at 0x{offset:x}: 0x{b:x} changed by 0x{changed:x}");
            }
            // It decodes always; it masters the bus, and its pin is off, when the guest says so and not else.
            uint command = PciHeader0.Bits.CommandMemorySpace | (page.Load<uint>(Config.Command) & CommandPassed);
            Assert.Equal(command, device.Dword((int)Config.Command) & 0xffff);
        }
        Hidden(function, page);
        foreach ((uint at, IRegisterBlock part) in function.Parts)
        {
            if (part is VfioPowerCap && device.Config[at + 4] != original[at + 4]) reach.Add("power state");
            if (part is VfioExpressCap && device.Config[at + 9] != original[at + 9]) reach.Add("device control");
        }
        if (function.Interrupts.Mode is { } mode) reach.Add(mode == Kvm.VfioAbi.IrqIndex.Intx ? "line" : "message");

        VfioFunction Make() =>
            new(address, page, "0000:00:09.0", device, router, new IntxLine(pin), new GuestErrors(null));
    }

    // The bits of the hardware that a guest may change, by the declaration, where its capabilities are.
    private static byte[] Allowed(VfioFunction function, byte[] original)
    {
        byte[] bits = new byte[Space];
        // What Command is set to is looked at after each write.
        (bits[Config.Command], bits[Config.Command + 1]) = (0xff, 0xff);
        foreach ((uint at, IRegisterBlock part) in function.Parts)
        {
            if (part is VfioPowerCap)
            {
                Assert.Equal(0x01, original[at]);
                bits[at + 4] |= 0x03;
            }
            else if (part is VfioExpressCap)
            {
                Assert.Equal(0x10, original[at]);
                bits[at + 8] |= 0x10;
                bits[at + 9] |= 0x78;
            }
        }
        return bits;
    }

    // Whether a write sets the bit that resets a function.
    private static bool Resets(VfioFunction function, uint offset, int width, ulong value)
    {
        foreach ((uint at, IRegisterBlock part) in function.Parts)
        {
            uint inside = at + 9 - offset;
            if (part is not VfioExpressCap || offset % width != 0 || inside >= width) continue;
            return (value >> ((int)inside * 8) & 0x80) != 0;
        }
        return false;
    }

    // The list ends, what is in it may be shown, and what belongs to nothing in it reads 0.
    private static void Hidden(VfioFunction function, ResidentPage page)
    {
        bool[] shown = new bool[Space];
        shown.AsSpan(0, 0x40).Fill(true);
        int count = 0;
        for (byte at = page.Load<byte>(Config.Pointer); at != 0; at = page.Load<byte>(at + 1u))
        {
            Assert.True(++count <= 48 && at >= 0x40, "the list does not end");
            Assert.Contains(page.Load<byte>(at), VfioHardware.Shown);
        }
        foreach ((uint at, IRegisterBlock part) in function.Parts)
            shown.AsSpan((int)at, part is VfioExpressCap ? ExpressBytes : (int)part.Info.Size).Fill(true);
        for (uint at = 0x100, steps = 0; at != 0; steps++)
        {
            uint head = page.Load<uint>(at), next = head >> 20;
            Assert.True((ushort)head is 0 or 3 or 0x0b, $"extended capability 0x{(ushort)head:x} is shown");
            Assert.True(steps < 64 && (next == 0 || next > at), "the extended list does not end");
            int length = (ushort)head switch { 3 => 12, 0x0b => (int)(page.Load<uint>(at + 4) >> 20), _ => 4 };
            shown.AsSpan((int)at, length).Fill(true);
            at = next;
        }
        for (uint b = 0; b < Space; b++)
        {
            if (!shown[b] && page.Load<byte>(b) != 0) Assert.Fail($"0x{b:x} shows 0x{page.Load<byte>(b):x2}");
        }
    }

    private static (uint Offset, int Width, ulong Value) Write(Random random, VfioFunction function)
    {
        int width = 1 << random.Next(4);
        (uint at, IRegisterBlock part) = function.Parts[random.Next(function.Parts.Count)];
        uint offset = random.Next(3) == 0 ? (uint)random.Next(Space) : at + (uint)random.Next((int)part.Info.Size);
        if (random.Next(8) != 0) offset &= ~((uint)width - 1);
        ulong value = random.Next(3) switch
        {
            0 => ulong.MaxValue,
            1 => 1ul << random.Next(64),
            _ => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
        };
        value &= ulong.MaxValue >> (64 - 8 * width);
        _ = function.Write(offset, width, value);
        return (offset, width, value);
    }
}

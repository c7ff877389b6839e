using System.Text;
using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Snapshot;
using Xunit;

namespace MicroVm.Tests.Diagnostics;

public class AccessTests
{
    private readonly AddressSpace _ports = new("pio"), _mmio = new("mmio");
    private readonly Block _uart = new("Uart16550"), _ioApic = new("IoApic"), _first = new("VirtioMmio"), _second = new("VirtioMmio");

    public AccessTests()
    {
        _ports.Add(0x3f8, _uart);
        _mmio.Add(0xd000_0000, _first);
        _mmio.Add(0xd000_1000, _second);
        _mmio.Add(0xfec0_0000, _ioApic);
    }

    [Theory]
    [InlineData(0x038u, true, 256ul, IoStatus.Ok, "vcpu0 virtio-mmio[1].QueueNum <- 256")]
    [InlineData(0x038u, true, 256ul, IoStatus.WrongState, "vcpu0 virtio-mmio[1].QueueNum <- 256 refused: only when FeaturesOk and not DriverOk (WrongState)")]
    [InlineData(0x070u, true, 0xful, IoStatus.Ok, "vcpu0 virtio-mmio[1].Status <- 0xf Acknowledge|Driver|DriverOk|FeaturesOk")]
    [InlineData(0x070u, false, 0ul, IoStatus.Ok, "vcpu0 virtio-mmio[1].Status -> 0x0")]
    [InlineData(0x070u, true, 0x21ul, IoStatus.Ok, "vcpu0 virtio-mmio[1].Status <- 0x21 Acknowledge|0x20")]
    [InlineData(0x080u, true, 0x1000ul, IoStatus.Ok, "vcpu0 virtio-mmio[1].QueueDesc.Low <- 0x1000")]
    [InlineData(0x084u, true, 1ul, IoStatus.Ok, "vcpu0 virtio-mmio[1].QueueDesc.High <- 0x1")]
    [InlineData(0x104u, false, 7ul, IoStatus.Ok, "vcpu0 virtio-mmio[1].Config+0x4 -> 7")]
    [InlineData(0x000u, true, 7ul, IoStatus.ReadOnly, "vcpu0 virtio-mmio[1].MagicValue <- 7 refused: read-only (ReadOnly)")]
    [InlineData(0x018u, false, 0xfffffffful, IoStatus.NoRegister, "vcpu0 virtio-mmio[1].+0x18 -> 0xffffffff refused: no such register (NoRegister)")]
    public void Formats_in_the_words_of_the_declaration(uint offset, bool write, ulong value, IoStatus status, string expected)
    {
        AccessTrace.Access access = new(_second, 0xd000_1000 + offset, value, offset, 4, 0, write, status);
        Assert.Equal(expected, Format(access));
    }

    [Theory]
    [InlineData(0x80ul, "vcpu3 pio 0x80 <- 0x1 no device")]
    [InlineData(0xe000_0000ul, "vcpu3 mmio 0xe0000000 <- 0x1 no device")]
    public void Formats_an_address_that_nobody_has(ulong address, string expected) =>
        Assert.Equal(expected, Format(new AccessTrace.Access(null, address, 1, 0, 1, 3, true, IoStatus.NoDevice)));

    [Fact]
    public void Prints_what_was_asked_for_and_follows_the_bit_that_chooses_between_registers()
    {
        StringWriter output = new();
        using (AccessPrinter printer = new(new TraceOptions(["uart16550", "ioapic"], output), _ports,
            new AccessFormatter(_ports, _mmio), ThreadOwner.Process))
        {
            Send(printer, _uart, 3, 0x80);
            Send(printer, _uart, 0, 0x01);
            Send(printer, _uart, 3, 0x03);
            Send(printer, _uart, 0, 0x41);
            printer.OnAccess(_mmio, new AccessTrace.Access(_first, 0xd000_0000, 0, 0, 4, 0, false, IoStatus.Ok));
            printer.OnAccess(_mmio, new AccessTrace.Access(_ioApic, 0xfec0_0000, 1, 0, 4, 0, true, IoStatus.Ok));
            printer.OnAccess(_ports, new AccessTrace.Access(null, 0x80, 0, 0, 1, 0, true, IoStatus.NoDevice));
        }
        string[] lines = output.ToString().TrimEnd('\n').Split('\n');
        Assert.Equal(
            ["uart16550[0].LineControl <- 0x80 Dlab", "uart16550[0].DivisorLow <- 0x1", "uart16550[0].LineControl <- 0x3 WordLength=3", "uart16550[0].TransmitHolding <- 0x41", "io-apic[0].Select <- 1"],
            lines.Select(static line => line[line.IndexOf("vcpu0 ", StringComparison.Ordinal)..]["vcpu0 ".Length..]));
    }

    [Fact]
    public void A_stalled_reader_loses_lines_and_costs_the_guest_nothing()
    {
        using StalledWriter output = new();
        AccessPrinter printer = new(new TraceOptions(["all"], output), _ports, new AccessFormatter(_ports, _mmio),
            ThreadOwner.Process);
        Assert.Equal(0, Allocations.Least(() =>
        {
            for (int i = 0; i < 100_000; i++) Send(printer, _uart, 0, 0x41);
        }));
        output.Release();
        printer.Dispose();
        Assert.Contains("accesses not shown", output.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void An_unknown_category_is_the_caller_s_mistake()
    {
        MicroVmException e = Assert.Throws<MicroVmException>(() => new AccessPrinter(new TraceOptions(["usb"],
            TextWriter.Null), _ports, new AccessFormatter(_ports, _mmio), ThreadOwner.Process));
        Assert.Equal(FailureKind.Usage, e.Kind);
        Assert.Contains("uart16550", e.Remedy, StringComparison.Ordinal);
    }

    private void Send(AccessPrinter printer, Block block, uint offset, ulong value) =>
        printer.OnAccess(_ports, new AccessTrace.Access(block, offset, value, offset, 1, 0, true, IoStatus.Ok));

    private string Format(in AccessTrace.Access access)
    {
        AccessFormatter formatter = new(_ports, _mmio);
        StringBuilder text = new();
        formatter.Append(text, access, formatter.RegisterOf(access));
        return text.ToString();
    }

    private sealed class Block(string name) : IRegisterBlock
    {
        public BlockInfo Info { get; } = RegisterCatalog.All.Single(b => b.Name == name);
        public Lock Gate { get; } = new();
        public IoStatus Read(uint offset, int width, out ulong value) => throw new NotSupportedException();
        public IoStatus Write(uint offset, int width, ulong value) => throw new NotSupportedException();
        public void Save(ref SnapshotWriter writer) => throw new NotSupportedException();
        public void Load(ref SnapshotReader reader) => throw new NotSupportedException();
    }

    private sealed class StalledWriter : StringWriter
    {
        private readonly ManualResetEventSlim _released = new();
        internal void Release() => _released.Set();
        internal string Text => ToString();
        public override void Write(string? value)
        {
            _released.Wait();
            base.Write(value);
        }
    }
}

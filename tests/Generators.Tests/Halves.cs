namespace MicroVm.Generators.Tests;

/// <summary>Hand-written halves for the cases, so that the emitted code can be compiled and run.</summary>
internal static class Halves
{
    public static string Of(string name) => Header + name switch
    {
        "small" => Small, "merging" => Merging, "resident" => Resident, "data" => Data, _ => "",
    } + Caller;

    private const string Header = "using MicroVm.Bus; using MicroVm.Memory; using MicroVm.Snapshot; namespace MicroVm.Devices;\n";

    private const string Caller = """

        public static class Caller
        {
            public static void Save(IRegisterBlock block, System.Buffers.IBufferWriter<byte> output) { var writer = new SnapshotWriter(output); block.Save(ref writer); }
            public static void Load(IRegisterBlock block, byte[] state) { var reader = new SnapshotReader(state); block.Load(ref reader); }
        }
        """;

    private const string Small = """
        public sealed partial class Small
        {
            public Small() { Initialize(2); Slot[1].Maximum = 9; }
            public uint Raise(uint bits) => RaiseRaised(bits) | RaisePending(bits);
            private partial void LevelWritten(uint value) { }
            private partial ulong TotalWritten(ulong old, ulong value) => value > 100 ? old : value;
            private partial void LampChanged(int index, ushort value) { if (index == 2) _r.Lamp[0] = value; }
            private partial ushort ToneChanged(int index, ushort old, ushort value) => (ushort)(value + index);
            private partial ushort TakeLast() => 3;
            private partial void Rung(ushort value) { }
            private partial ulong KeyWritten(ulong old, ulong value) => value;
            private partial uint ManyWritten(int index, uint old, uint value) => value;
            private partial uint ReadTwin(int index) => (uint)index + 100;
            private partial IoStatus ReadRaw(uint offset, int width, out ulong value) { value = offset; return IoStatus.Ok; }
            private partial IoStatus WriteRaw(uint offset, int width, ulong value) => IoStatus.Ok;
        }
        """;

    private const string Merging = """
        public sealed partial class Merging
        {
            public Merging() => Initialize();
            public byte OnlyValue => _r.Only;
            private partial ulong WideWritten(ulong old, ulong value) => value;
            private partial IoStatus ReadRaw(uint offset, int width, out ulong value) { value = 0; return IoStatus.Ok; }
            private partial IoStatus WriteRaw(uint offset, int width, ulong value) => IoStatus.Ok;
            private partial void SaveHidden(ref SnapshotWriter writer) => writer.Write(0x1_0000, 1, 1);
            private partial void LoadHidden(ulong tag, ReadOnlySpan<byte> value) { }
            private partial void Loaded() { }
        }
        """;

    private const string Resident = """
        public sealed partial class Resident
        {
            public Resident(ResidentPage? page) => Initialize(page, 2);
            public void Raise(uint bits) => RaiseEvents(bits);
            private partial uint ReadState() => _r.Table[1];
            private partial IoStatus WriteConfig(uint offset, int width, ulong value) { ConfigBytes[(int)offset] = (byte)value; return IoStatus.Ok; }
        }
        """;

    private const string Data = """
        public sealed partial class SenderConfig
        {
            public SenderConfig() => Initialize();
            private partial uint ReadSpeed() => 1;
        }
        """;
}
